//! Passwords: argon2id, a few at a time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _},
};
use domain::{ErrorCode, Problem};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

/// The fewest characters of a password.
const SHORTEST: usize = 12;
/// The most bytes of a password.
const LONGEST: usize = 1024;
/// How many are computed at once: each takes 19 MiB and a core for tens of milliseconds.
const AT_ONCE: usize = 2;
/// How many may wait for their turn.
const WAITING: usize = 64;

/// What a made password is made of: no two that are easily taken for each other.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// Hashes passwords and compares them, off the threads that serve.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    computed: Arc<AtomicU64>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            queue: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            computed: Arc::default(),
        }
    }

    /// How many were computed so far.
    pub(crate) fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// The hash of a new password, in PHC form.
    pub(crate) async fn hash(&self, password: &SecretString) -> Result<String, Problem> {
        let password = password.clone();
        self.compute(move || {
            let salt: [u8; 16] = rand::random();
            let hash = Argon2::default()
                .hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|_| Problem::internal())
        })
        .await?
    }

    /// Whether the password is the one that was hashed. Where there is none it takes as long.
    pub(crate) async fn verify(
        &self,
        password: &SecretString,
        hash: Option<&str>,
    ) -> Result<bool, Problem> {
        let (password, hash) = (password.clone(), hash.map(str::to_owned));
        self.compute(move || {
            let password = password.expose_secret().as_bytes();
            match hash {
                Some(hash) => Argon2::default().verify_password(password, hash.as_str()).is_ok(),
                None => {
                    let wasted = Argon2::default().hash_password_with_salt(password, &[0; 16]);
                    drop(std::hint::black_box(wasted));
                    false
                }
            }
        })
        .await
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || {
            Problem::new(ErrorCode::RateLimited, "too many people log in just now").retry_after(2)
        };
        let _place = self.queue.try_acquire().map_err(|_| busy())?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| busy())?;
        self.computed.fetch_add(1, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || {
            // A caller who hangs up does not make room for the next before this is over.
            let _turn = turn;
            work()
        })
        .await
        .map_err(|_| Problem::internal())
    }
}

/// Whether a password may be chosen.
pub(crate) fn check(field: &str, password: &SecretString, user: &str) -> Result<(), Problem> {
    let password = password.expose_secret();
    if password.chars().count() < SHORTEST {
        let message = format!("the password is too short: expected at least {SHORTEST} characters");
        return Err(Problem::invalid(field, message)
            .hint("a few words that nobody else would put together are easy to keep in mind"));
    }
    if password.len() > LONGEST {
        let message = format!("the password is too long: expected at most {LONGEST} bytes");
        return Err(Problem::invalid(field, message));
    }
    if password.starts_with(crate::credentials::TOKEN) {
        return Err(Problem::invalid(
            field,
            "a password that begins with `bt_` would be taken for a token",
        ));
    }
    if password.to_lowercase() == user.to_lowercase() {
        return Err(Problem::invalid(field, "the password is the user's name"));
    }
    Ok(())
}

/// Whether it is worth comparing: nobody has a longer one.
pub(crate) fn can_be_one(password: &SecretString) -> bool {
    (1..=LONGEST).contains(&password.expose_secret().len())
}

/// A made password: four groups of five letters, 99 random bits.
pub(crate) fn generate() -> SecretString {
    let group = || -> String {
        (0..5).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
    };
    SecretString::from([group(), group(), group(), group()].join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let passwords = Passwords::new();
        let password = SecretString::from("correct horse battery");
        let hash = passwords.hash(&password).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash(&password).await.unwrap(), "the salt is another each time");
        assert!(passwords.verify(&password, Some(&hash)).await.unwrap());
        let other = SecretString::from("correct horse batterz");
        assert!(!passwords.verify(&other, Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&password, Some("no hash")).await.unwrap());
        assert!(!passwords.verify(&password, None).await.unwrap());
        assert_eq!(passwords.computed(), 6, "where there is no password it is computed as well");
    }

    #[test]
    fn short_long_and_obvious_passwords_are_refused() {
        let check = |password: &str| check("new", &password.to_owned().into(), "ana.novak@bank");
        assert!(check("correct horse").is_ok());
        assert!(check("пароль-длинный").is_ok());
        for wrong in
            ["", "short", "elevenchars", "Ana.Novak@Bank", "bt_correct horse", &"x".repeat(1025)]
        {
            assert_eq!(check(wrong).unwrap_err().field.as_deref(), Some("new"), "{wrong}");
        }
        assert!(check(generate().expose_secret()).is_ok());
    }
}
