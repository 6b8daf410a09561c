//! Accounts: users and service accounts.

use domain::{
    Cursor, Limit, Page, SubjectId, Timestamp,
    access::{Subject, SubjectKind},
};

use crate::{Change, Database, Error, Result};

/// A user or a service account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: SubjectId,
    /// What MLflow's clients know it by.
    pub number: i64,
    /// Which of the two, and what it is called.
    pub subject: Subject,
    /// The name to show; may be empty.
    pub display_name: String,
    /// Where mail goes.
    pub email: Option<String>,
    /// The team that owns what it makes unless it says.
    pub home_team: Option<String>,
    /// The teams that it is a member of, by name.
    pub teams: Vec<String>,
    /// Whether it can log in by password.
    pub has_password: bool,
    /// Whether that must be changed first.
    pub must_change_password: bool,
    /// Who made it, as `user:ana`.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it was disabled, if it is.
    pub disabled_at: Option<Timestamp>,
}

struct Row {
    id: uuid::Uuid,
    number: i64,
    kind: String,
    name: String,
    display_name: String,
    email: Option<String>,
    home_team: Option<String>,
    teams: Vec<String>,
    has_password: bool,
    must_change_password: bool,
    created_by: String,
    created_at: Timestamp,
    disabled_at: Option<Timestamp>,
}

impl TryFrom<Row> for Account {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let kind = SubjectKind::parse(&row.kind)
            .ok_or_else(|| Error::inconsistent("subjects", "kind", row.id))?;
        Ok(Self {
            id: SubjectId(row.id),
            number: row.number,
            subject: Subject { kind, name: row.name },
            display_name: row.display_name,
            email: row.email,
            home_team: row.home_team,
            teams: row.teams,
            has_password: row.has_password,
            must_change_password: row.must_change_password,
            created_by: row.created_by,
            created_at: row.created_at,
            disabled_at: row.disabled_at,
        })
    }
}

/// `select_account!("WHERE …", arguments)`: every read of an account gathers the same columns.
macro_rules! select_account {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT s.id, s.number, s.kind, s.name, s.display_name, a.email, h.name AS "home_team?",
                      ARRAY(SELECT t.name FROM team_members m JOIN subjects t ON t.id = m.team_id
                            WHERE m.member_id = s.id AND t.kind = 'team' ORDER BY t.name COLLATE "C") AS "teams!",
                      (a.password_hash IS NOT NULL) AS "has_password!", a.must_change_password,
                      s.created_by, s.created_at, s.disabled_at
               FROM accounts a JOIN subjects s ON s.id = a.id LEFT JOIN subjects h ON h.id = a.home_team "#
                + $rest
            $(, $argument)*
        )
    };
}

/// The account of that id.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, id: SubjectId) -> Result<Option<Account>> {
    let row = select_account!("WHERE s.id = $1", id.0).fetch_optional(database.pool()).await?;
    row.map(Account::try_from).transpose()
}

/// The account of that name.
///
/// # Errors
/// The database is away.
pub async fn find(database: &Database, subject: &Subject) -> Result<Option<Account>> {
    let row =
        select_account!("WHERE s.kind = $1 AND s.name = $2", subject.kind.as_str(), subject.name)
            .fetch_optional(database.pool())
            .await?;
    row.map(Account::try_from).transpose()
}

/// Lists accounts of a kind by name.
///
/// # Errors
/// The database is away.
pub async fn list(
    database: &Database,
    kind: SubjectKind,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Account>> {
    let rows = select_account!(
        r#"WHERE s.kind = $1 AND ($2::text IS NULL OR s.name COLLATE "C" > $2)
           ORDER BY s.name COLLATE "C" LIMIT $3"#,
        kind.as_str(),
        cursor.map(Cursor::key),
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    let accounts = rows.into_iter().map(Account::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::from_rows(accounts, limit, |account| account.subject.name.clone()))
}

/// Makes a subject an account.
///
/// # Errors
/// The database is away.
pub async fn insert(change: &mut Change, id: SubjectId, email: Option<&str>) -> Result<()> {
    sqlx::query!("INSERT INTO accounts (id, email) VALUES ($1, $2)", id.0, email)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Gives an account another address for mail.
///
/// # Errors
/// The database is away.
pub async fn set_email(change: &mut Change, id: SubjectId, email: Option<&str>) -> Result<()> {
    sqlx::query!("UPDATE accounts SET email = $2 WHERE id = $1", id.0, email)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Gives an account another home team.
///
/// # Errors
/// The database is away.
pub async fn set_home_team(
    change: &mut Change,
    id: SubjectId,
    team: Option<SubjectId>,
) -> Result<()> {
    sqlx::query!("UPDATE accounts SET home_team = $2 WHERE id = $1", id.0, team.map(|team| team.0))
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Gives an account a password, by its hash in PHC form.
///
/// # Errors
/// The database is away.
pub async fn set_password(
    change: &mut Change,
    id: SubjectId,
    hash: &str,
    must_change: bool,
) -> Result<()> {
    let now = change.now();
    sqlx::query!(
        "UPDATE accounts SET password_hash = $2, must_change_password = $3, password_changed_at = $4
         WHERE id = $1",
        id.0,
        hash,
        must_change,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// What proves that somebody is a user.
pub struct Password {
    /// Whose.
    pub id: SubjectId,
    /// Its hash in PHC form.
    pub hash: String,
    /// Another one for each password that is set.
    pub mark: Vec<u8>,
    /// Whether it must be changed first.
    pub must_change: bool,
}

/// The password of an enabled user who has one.
///
/// # Errors
/// The database is away.
pub async fn password(database: &Database, user: &str) -> Result<Option<Password>> {
    let row = sqlx::query!(
        r#"SELECT a.id, a.password_hash AS "hash!", sha256(convert_to(a.password_hash, 'UTF8')) AS "mark!",
                  a.must_change_password
           FROM accounts a JOIN subjects s ON s.id = a.id
           WHERE s.kind = 'user' AND s.name = $1 AND s.disabled_at IS NULL AND a.password_hash IS NOT NULL"#,
        user
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| Password {
        id: SubjectId(row.id),
        hash: row.hash,
        mark: row.mark,
        must_change: row.must_change_password,
    }))
}
