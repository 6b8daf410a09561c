//! A database of the user's own, whose login is no superuser.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{env, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};

use domain::SystemClock;
use sqlx::{Connection as _, Executor as _, PgConnection};
use store::{
    Database, Error, migrate, models,
    private::{DataDirLock, PrivatePostgres},
};

/// The same server as someone else, on another database.
fn url_of(url: &str, login: &str, database: &str) -> String {
    let url = url.replace("//bottega@", &format!("//{login}@"));
    url.replace("/bottega?", &format!("/{database}?"))
}

/// On a server of its own: roles belong to the whole server.
#[tokio::test]
async fn a_login_that_may_make_roles_migrates_and_another_is_told_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let lock = DataDirLock::acquire(&folder.path().join("data")).unwrap();
    let programs = env::var_os("BOTTEGA_PG_BIN_DIR").map(PathBuf::from);
    let server = PrivatePostgres::start(&lock, programs.as_deref()).await.unwrap();
    let url = server.migrate_url();
    let mut admin = PgConnection::connect(&url_of(&url, "bottega", "postgres")).await.unwrap();
    // As a server is before it has heard of Bottega.
    for statement in [
        "DROP DATABASE bottega",
        "DROP ROLE bottega_owner",
        "DROP ROLE bottega_app",
        "CREATE ROLE bob LOGIN",
        "CREATE DATABASE bobs OWNER bob",
        "CREATE ROLE ana LOGIN CREATEROLE",
        "CREATE DATABASE anas OWNER ana",
    ] {
        admin.execute(statement).await.unwrap();
    }

    let bobs = url_of(&url, "bob", "bobs");
    let refused = migrate(&bobs).await.unwrap_err();
    assert!(matches!(refused, Error::Roles(_)), "{refused}");
    let anas = url_of(&url, "ana", "anas");
    migrate(&anas).await.unwrap();
    works(&anas).await;

    // What the refusal asked for is enough.
    admin.execute("GRANT bottega_owner, bottega_app TO bob").await.unwrap();
    migrate(&bobs).await.unwrap();
    works(&bobs).await;
    server.stop().await;
}

async fn works(url: &str) {
    let database = Database::connect(url, 1, Arc::new(SystemClock)).await.unwrap();
    assert!(models::get(&database, &"fraud".parse().unwrap()).await.unwrap().is_none());
    database.close().await;
}
