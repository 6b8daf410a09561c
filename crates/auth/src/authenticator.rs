//! Tells who calls, out of memory.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use arc_swap::ArcSwap;
use domain::{Actor, ActorKind, Problem, SubjectId, Timestamp, TokenId, TrustId};
use foldhash::HashMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use store::{Change, Database, access, identities, logins, oidc, sessions, tokens};

use crate::{
    Access, Identity, Result, SecretKey,
    audit::Trail,
    credentials::{Credentials, TOKEN, is_broken_token, unauthenticated},
    jwt::{Claims, Jwts},
    logins::network,
    passwords::Passwords,
    remembered::Remembered,
    verbs,
};

/// A token that its holder may show.
struct Token {
    identity: Identity,
    expires_at: Option<Timestamp>,
    /// Why it is refused, if it is.
    dead: Option<&'static str>,
    /// The minute in which it was last used, since 1970; kept over refreshes.
    used: Arc<AtomicI64>,
}

/// Everybody who may call, as of a revision.
#[derive(Default)]
struct Known {
    revision: i64,
    tokens: HashMap<[u8; 32], Token>,
    hashes: HashMap<TokenId, [u8; 32]>,
    users: HashMap<SubjectId, identities::User>,
    trusts: HashMap<TrustId, SubjectId>,
}

/// Knows all tokens by their keyed hashes. Reading takes no lock and asks no database, but for
/// passwords that were not seen for a while, and for sessions.
pub struct Authenticator {
    pub(crate) key: SecretKey,
    /// Read again with what is read here.
    access: Option<Access>,
    pub(crate) database: Database,
    pub(crate) passwords: Passwords,
    pub(crate) trail: Trail,
    signed: Option<Jwts>,
    remembered: Remembered,
    known: ArcSwap<Known>,
    refreshing: tokio::sync::Mutex<()>,
    /// The latest second that was seen, since 1970.
    latest: AtomicI64,
}

impl Authenticator {
    /// Knows nobody until [`Authenticator::refresh`].
    #[must_use]
    pub fn new(key: SecretKey, database: Database) -> Self {
        Self {
            key,
            database,
            passwords: Passwords::new(),
            trail: Trail::default(),
            access: None,
            signed: None,
            remembered: Remembered::default(),
            known: ArcSwap::default(),
            refreshing: tokio::sync::Mutex::default(),
            latest: AtomicI64::new(0),
        }
    }

    /// Tells this trail who logged in and who failed to.
    #[must_use]
    pub fn with_trail(self, trail: Trail) -> Self {
        Self { trail, ..self }
    }

    /// Has what is decided follow what changes about accounts and teams, before whoever changed it
    /// is answered.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        Self { access: Some(access), ..self }
    }

    /// Takes tokens that were signed by these keys as well.
    #[must_use]
    pub fn with_signed(self, jwts: Jwts) -> Self {
        Self { signed: Some(jwts), ..self }
    }

    /// The time, which never goes back here: what has ended stays so when the machine's clock jumps.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.database.now();
        let latest = self.latest.load(Ordering::Relaxed);
        match now.timestamp() - latest {
            // One write a second, whatever the number of requests.
            1.. => {
                self.latest.fetch_max(now.timestamp(), Ordering::Relaxed);
            }
            ..-1 => return Timestamp::from_timestamp(latest, 0).unwrap_or(now),
            -1..=0 => {}
        }
        now
    }

    /// Takes over who may call now, where that changed. Called at start, whenever something
    /// changed, and from time to time.
    ///
    /// # Errors
    /// The database is away; then those known before stay.
    pub async fn refresh(&self) -> store::Result<()> {
        let revision = match &self.access {
            Some(access) => access.refresh().await?,
            None => access::revision(&self.database).await?,
        };
        let _one = self.refreshing.lock().await;
        if self.known.load().revision == revision {
            return Ok(());
        }
        let snapshot = identities::load(&self.database).await?;
        let before = self.known.load();
        let used: HashMap<_, _> = before
            .tokens
            .values()
            .filter_map(|token| Some((token.identity.token?, Arc::clone(&token.used))))
            .collect();
        let hashes = snapshot.tokens.iter().map(|token| (token.id, token.hash)).collect();
        let known = Known {
            revision: snapshot.revision,
            hashes,
            tokens: snapshot
                .tokens
                .into_iter()
                .map(|token| {
                    let used = used.get(&token.id).cloned().unwrap_or_default();
                    (token.hash, Token::of(token, used))
                })
                .collect(),
            users: snapshot.users.into_iter().map(|user| (user.id, user)).collect(),
            trusts: snapshot.trusts.into_iter().collect(),
        };
        self.known.store(Arc::new(known));
        Ok(())
    }

    /// As of which revision it is known who may call.
    pub(crate) fn revision(&self) -> i64 {
        self.known.load().revision
    }

    /// Writes down when tokens were last used, and forgets what is over. Called every minute.
    ///
    /// # Errors
    /// The database is away.
    pub async fn keep(&self) -> store::Result<()> {
        let since = self.now().timestamp() / 60 - 2;
        let used: Vec<(TokenId, Timestamp)> = self
            .known
            .load()
            .tokens
            .values()
            .filter_map(|token| {
                let minute = token.used.load(Ordering::Relaxed);
                let at = Timestamp::from_timestamp(minute * 60, 0)?;
                (minute >= since).then_some((token.identity.token?, at))
            })
            .collect();
        if !used.is_empty() {
            tokens::touch(&self.database, &used).await?;
        }
        tokens::end_expired(&self.database).await?;
        sessions::forget_ended(&self.database, crate::sessions::IDLE).await?;
        logins::forget_old(&self.database).await?;
        oidc::logins::forget_old(&self.database).await
    }

    /// Who a request with this `Authorization` header comes from.
    ///
    /// # Errors
    /// No header, a malformed one, or credentials that we do not know; too many failures before.
    pub async fn identify(
        &self,
        header: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<Identity, Problem> {
        let header = header.ok_or_else(|| unauthenticated("this needs a token or a password"))?;
        match Credentials::from_header(header)? {
            Credentials::Token(secret) => {
                let known = self.by_token(secret).or_else(|| self.by_signed(secret));
                known.unwrap_or_else(|| Err(unknown_token(secret)))
            }
            Credentials::Basic { user, secret } => {
                // A token goes first: MLflow's clients send it as a password.
                if let Some(known) = self.by_token(&secret) {
                    return known;
                }
                match (user, String::from_utf8(secret)) {
                    (Some(user), Ok(secret)) if is_broken_token(secret.as_bytes()).is_none() => {
                        // Boxed: a token's way does not carry what a password's takes.
                        let secret = secret.into();
                        Box::pin(self.by_password(&user, &secret, address)).await
                    }
                    (_, secret) => Err(unknown_token(secret.unwrap_or_default().as_bytes())),
                }
            }
        }
    }

    fn by_token(&self, secret: &[u8]) -> Option<Result<Identity, Problem>> {
        let known = self.known.load();
        let token = known.tokens.get(&self.key.hash_bytes(secret))?;
        Some(token.identity(self.now()).cloned())
    }

    /// The secret that a token's holder signs requests with; absent for a token that is not known. It is
    /// derived, so that it need not be kept where it could be read.
    pub(crate) fn signing_secret(&self, id: TokenId) -> Option<SecretString> {
        self.known
            .load()
            .hashes
            .contains_key(&id)
            .then(|| hex::encode(self.key.hash_bytes(format!("sigv4:{id}").as_bytes())).into())
    }

    /// Whom a token speaks for, by its id. For whoever proved to hold it.
    ///
    /// # Errors
    /// It is worth nothing, or there is none such.
    pub(crate) fn by_id(&self, id: TokenId) -> Result<Identity, Problem> {
        let known = self.known.load();
        let token = known.hashes.get(&id).and_then(|hash| known.tokens.get(hash));
        let token = token.ok_or_else(|| unauthenticated("the token is not valid here"))?;
        token.identity(self.now()).cloned()
    }

    /// Whoever a signed token speaks for, as far as the API token that it was exchanged for still does.
    fn by_signed(&self, secret: &[u8]) -> Option<Result<Identity, Problem>> {
        let jwts = self.signed.as_ref().filter(|_| Jwts::is_one(secret))?;
        let token = std::str::from_utf8(secret).ok()?;
        let identity = || {
            let now = self.now();
            let claims = jwts.verify(token, now)?;
            let identity = self.known.load().behind(&claims, now)?;
            let scopes = match claims.scopes {
                Some(scopes) => {
                    let scopes: Result<Vec<_>, Problem> =
                        scopes.iter().map(|scope| scope.parse()).collect();
                    Some(Arc::from(scopes?))
                }
                None => identity.scopes.clone(),
            };
            Ok(Identity { scopes, ..identity })
        };
        Some(identity())
    }

    async fn by_password(
        &self,
        user: &str,
        password: &SecretString,
        address: Option<IpAddr>,
    ) -> Result<Identity, Problem> {
        // Where from is part of it: whoever must wait learns nothing from what others proved.
        let parts = ["basic:", &network(address), user, password.expose_secret()];
        let key = self.key.hash_bytes(parts.join("\0").as_bytes());
        let now = self.now();
        if let Some(hit) = self.remembered.get(&key, now) {
            let known = self.known.load();
            // The password is still the one that was compared, and the user is enabled.
            let user = known.users.get(&hit.subject);
            if let Some(user) = user.filter(|user| user.password_mark == hit.mark) {
                return Ok(hit.identity(user.must_change_password));
            }
        }
        let proven = self.log_in(user, password, address).await?;
        let hit = crate::remembered::Hit {
            actor: Actor::user(proven.user),
            subject: proven.id,
            mark: proven.mark,
        };
        let identity = hit.identity(proven.must_change);
        self.remembered.put(key, hit, now);
        Ok(identity)
    }

    /// How many passwords were computed so far.
    #[must_use]
    pub fn passwords_computed(&self) -> u64 {
        self.passwords.computed()
    }

    /// Makes this the administrator's token, in place of any other that was installed.
    ///
    /// # Errors
    /// The database is away.
    pub async fn install_admin_token(
        &self,
        access: &Access,
        token: &SecretString,
    ) -> store::Result<()> {
        const NAME: &str = "administrator";
        let admin = Actor::user("admin");
        let permit = access.system::<verbs::Administer>("start", domain::Resource::Platform);
        let mut change = Change::begin(&self.database).await?;
        let hash = self.key.hash(token);
        if tokens::install(&mut change, &admin, NAME, &hash, permit.actor()).await? {
            access::raise(&mut change).await?;
            let detail = json!({"subject": admin.to_string(), "name": NAME});
            change.emit("token.created", &admin.to_string(), &detail).await?;
            change.commit(&permit.event("token.installed", detail)).await?;
        }
        self.refresh().await
    }

    /// A fresh API token: `bt_`, what may be shown of it, and 256 random bits in hex.
    #[must_use]
    pub fn generate_token() -> SecretString {
        let shown = hex::encode(rand::random::<[u8; 4]>());
        SecretString::from(format!("{TOKEN}{shown}_{}", SecretKey::generate().expose_secret()))
    }
}

impl Known {
    /// Whom a signed token speaks for now, by what it was exchanged for.
    fn behind(&self, claims: &Claims, now: Timestamp) -> Result<Identity, Problem> {
        let gone = || unauthenticated("what this token was exchanged for is gone");
        if let Some(id) = claims.tid {
            let holder = self.hashes.get(&id).and_then(|hash| self.tokens.get(hash));
            let identity = holder.ok_or_else(gone)?.identity(now)?;
            return (identity.subject == Some(claims.sid))
                .then(|| identity.clone())
                .ok_or_else(gone);
        }
        let trust = claims.trust.ok_or_else(gone)?;
        if self.trusts.get(&trust) != Some(&claims.sid) {
            return Err(gone());
        }
        let name = claims.sub.strip_prefix("service:").ok_or_else(gone)?;
        let actor = Actor { kind: ActorKind::Service, name: name.into() };
        Ok(Identity { trust: Some(trust), ..Identity::of(actor, Some(claims.sid)) })
    }
}

impl Token {
    /// Whom it speaks for now.
    fn identity(&self, now: Timestamp) -> Result<&Identity, Problem> {
        let ended = self.expires_at.is_some_and(|end| end <= now);
        if let Some(why) = self.dead.or(ended.then_some("the token has expired")) {
            return Err(unauthenticated(why));
        }
        let minute = now.timestamp() / 60;
        if self.used.load(Ordering::Relaxed) != minute {
            self.used.store(minute, Ordering::Relaxed);
        }
        Ok(&self.identity)
    }

    fn of(token: identities::Token, used: Arc<AtomicI64>) -> Self {
        let dead = if token.disabled {
            Some("the account that the token belongs to is disabled")
        } else if token.revoked_at.is_some_and(|at| token.expires_at != Some(at)) {
            Some("the token has been revoked")
        } else {
            token.revoked_at.map(|_| "the token has expired")
        };
        let identity = Identity {
            token: Some(token.id),
            scopes: token.scopes.map(Arc::from),
            ..Identity::of(token.actor, token.subject)
        };
        Self { identity, expires_at: token.expires_at, dead, used }
    }
}

/// Says no more than what can be seen of the token itself.
fn unknown_token(secret: &[u8]) -> Problem {
    if is_broken_token(secret) == Some(true) {
        return unauthenticated("the token is not whole: expected bt_, 8 digits, _ and 64 digits");
    }
    unauthenticated("the token is not valid here")
}
