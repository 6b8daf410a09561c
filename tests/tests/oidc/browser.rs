//! What a browser does, and nothing more: cookies, redirects, forms.

use std::{cell::RefCell, collections::HashMap};

use bottega_tests::Server;
use reqwest::{
    Method,
    header::{ACCEPT, CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, SET_COOKIE},
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::provider::PUBLIC;

const FORM: &str = "application/x-www-form-urlencoded";

/// Somebody's browser.
pub struct Browser {
    runtime: Runtime,
    http: reqwest::Client,
    bottega: String,
    /// By host and name.
    cookies: RefCell<HashMap<(String, String), String>>,
}

/// What it got.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The message and the hint of a refusal with this status.
    pub fn refusal(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let error = &self.json()["error"];
        format!("{} {}", error["message"].as_str().unwrap(), error["hint"].as_str().unwrap_or(""))
    }

    pub fn to(&self) -> String {
        assert!((300..400).contains(&self.status), "{self:?}");
        self.headers[LOCATION].to_str().unwrap().to_owned()
    }
}

impl Browser {
    pub fn at(server: &Server) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let none = reqwest::redirect::Policy::none();
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            http: reqwest::Client::builder().redirect(none).build().unwrap(),
            bottega: server.url.clone(),
            cookies: RefCell::default(),
        }
    }

    /// One request, with the cookies of that host.
    pub fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let url = url.replacen(PUBLIC, &self.bottega, 1);
        let host = host(&url);
        let held: Vec<_> = {
            let cookies = self.cookies.borrow();
            let of_host = cookies.iter().filter(|((at, _), _)| *at == host);
            of_host.map(|((_, name), value)| format!("{name}={value}")).collect()
        };
        let method: Method = method.parse().unwrap();
        let mut request = self.http.request(method, &url).body(body.to_owned());
        if !held.is_empty() {
            request = request.header(COOKIE, held.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let got = self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            Got { status, headers, text: answer.text().await.unwrap() }
        });
        for cookie in got.headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let key = (host.clone(), name.to_owned());
            let is_over = rest.contains("Max-Age=0") || rest.contains("expires=Thu, 01 Jan 1970");
            if is_over {
                self.cookies.borrow_mut().remove(&key);
            } else {
                self.cookies.borrow_mut().insert(key, value.to_owned());
            }
        }
        got
    }

    pub fn get(&self, url: &str) -> Got {
        self.send("GET", url, &[(ACCEPT.as_str(), "application/json")], "")
    }

    /// A path of Bottega.
    pub fn ask(&self, path: &str) -> Got {
        self.get(&format!("{PUBLIC}{path}"))
    }

    /// Begins to log in, and goes through the provider's pages; answers where it sends one back to.
    pub fn through_provider(&self, login: &str, to: &str) -> String {
        self.through_provider_from(login, &format!("/api/v1/auth/oidc/login?to={to}"))
    }

    /// The same from where a log-in begins.
    pub fn through_provider_from(&self, login: &str, begin: &str) -> String {
        let begun = self.ask(begin);
        assert_eq!(begun.status, 303, "{begun:?}");
        let mut url = begun.to();
        let provider = url.split("/auth").next().unwrap().to_owned();
        for _ in 0..12 {
            if url.starts_with(PUBLIC) {
                return url;
            }
            let page = self.get(&url);
            url = if (300..400).contains(&page.status) {
                page.to()
            } else {
                assert_eq!(page.status, 200, "{page:?}");
                let form = if page.text.contains("name=\"login\"") {
                    format!("prompt=login&login={login}&password=any")
                } else {
                    "prompt=consent".to_owned()
                };
                let kind = (CONTENT_TYPE.as_str(), FORM);
                self.send("POST", &url, &[kind], &form).to()
            };
            if url.starts_with('/') {
                url = format!("{provider}{url}");
            }
        }
        panic!("the provider goes on and on: {url}");
    }

    /// Logs in as somebody whom the provider knows.
    pub fn log_in(&self, login: &str) -> Got {
        self.get(&self.through_provider(login, "/"))
    }

    /// What this browser holds of Bottega's.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let key = (host(&self.bottega), name.to_owned());
        self.cookies.borrow().get(&key).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        let key = (host(&self.bottega), name.to_owned());
        self.cookies.borrow_mut().insert(key, value.to_owned());
    }
}

fn host(url: &str) -> String {
    let rest = url.split("://").nth(1).unwrap();
    rest.split('/').next().unwrap().to_owned()
}
