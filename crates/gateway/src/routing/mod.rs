//! Which version answers a request where more than weights decide, and what else happens with it.
//!
//! Compiled once for each release, beside its versions, and swapped with them: a request looks into
//! it and changes nothing but counters. A route without any of this has none, and its requests pay for
//! the question alone.

mod difference;
mod key;
mod metrics;
mod run;
mod shadow;

use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName};
use domain::{
    Problem, Tensor,
    serving::{self, Chooser, Match},
};
use rest::TraceParent;
use tonic::{
    codegen::http,
    metadata::{Ascii, MetadataKey, MetadataMap},
};

use self::{metrics::Counted, shadow::Shadow};
pub(crate) use self::{
    metrics::Detours,
    shadow::{Shadows, run as run_shadows},
};
use crate::live::{Route, Share};

/// What a request says beside its inputs.
#[derive(Clone, Copy)]
pub enum Headers<'a> {
    /// Nothing.
    None,
    /// HTTP's headers.
    Http(&'a HeaderMap),
    /// gRPC's metadata.
    Grpc(&'a MetadataMap),
}

impl<'a> Headers<'a> {
    /// The caller's place in a trace, if they say.
    pub(crate) fn trace(self) -> Option<TraceParent> {
        const NAME: HeaderName = HeaderName::from_static(TraceParent::REQUEST);
        const GRPC_NAME: http::HeaderName = http::HeaderName::from_static(TraceParent::REQUEST);
        let header = match self {
            Self::None => None,
            Self::Http(headers) => headers.get(&NAME)?.to_str().ok(),
            Self::Grpc(metadata) => metadata.as_ref().get(&GRPC_NAME)?.to_str().ok(),
        };
        header.and_then(TraceParent::parse)
    }

    fn get(self, name: &Name) -> Option<&'a [u8]> {
        match self {
            Self::None => None,
            Self::Http(headers) => headers.get(&name.http).map(|value| value.as_bytes()),
            Self::Grpc(metadata) => metadata.get(&name.grpc).map(|value| value.as_encoded_bytes()),
        }
    }
}

/// A header's name as both protocols look it up.
#[derive(Debug)]
struct Name {
    http: HeaderName,
    grpc: MetadataKey<Ascii>,
}

impl Name {
    fn new(name: &serving::HeaderName) -> Option<Self> {
        let bytes = name.as_str().as_bytes();
        Some(Self {
            http: HeaderName::from_bytes(bytes).ok()?,
            grpc: MetadataKey::from_bytes(bytes).ok()?,
        })
    }
}

/// What requests are told apart by.
#[derive(Debug)]
enum Sticky {
    Header(Name),
    Input(String),
}

/// The positions are those of the route's shares.
#[derive(Debug)]
struct Rule {
    name: Name,
    when: Match,
    at: usize,
}

#[derive(Debug)]
struct Fallback {
    at: usize,
    after: Option<std::time::Duration>,
}

/// A release's routing, ready to be looked into.
#[derive(Debug)]
pub(crate) struct Routing {
    sticky: Option<Sticky>,
    rules: Vec<Rule>,
    shadow: Option<Shadow>,
    fallback: Option<Fallback>,
    counted: Counted,
}

impl Routing {
    /// Compiles a release's routing; absent where the weights alone decide.
    pub(crate) fn new(
        asked: &serving::Routing,
        shares: &[Share],
        endpoint: &str,
        detours: &Detours,
    ) -> Option<Arc<Self>> {
        if asked.is_empty() {
            return None;
        }
        let at = |version: serving::VersionNumber| {
            let at = shares.iter().position(|share| share.served.number == version.get());
            if at.is_none() {
                let version = version.get();
                tracing::error!(endpoint, version, "a release lacks a version that it names");
            }
            at
        };
        let counted = detours.of(endpoint, asked);
        let sticky = asked.sticky.as_ref().and_then(|sticky| match sticky {
            serving::Sticky::Header(name) => Name::new(name).map(Sticky::Header),
            serving::Sticky::Input(name) => Some(Sticky::Input(name.clone())),
        });
        let rule = |rule: &serving::Rule| {
            let (name, at) = (Name::new(&rule.header)?, at(rule.version)?);
            Some(Rule { name, when: rule.when.clone(), at })
        };
        let fallback = asked.fallback.and_then(|fallback| {
            let after = fallback.after.map(serving::Span::get);
            Some(Fallback { at: at(fallback.version)?, after })
        });
        let shadow = asked.shadow.and_then(|asked| {
            let at = at(asked.version)?;
            Some(Shadow::new(at, asked.percent.get(), counted.shadow.clone()?))
        });
        let rules = asked.rules.iter().filter_map(rule).collect();
        Some(Arc::new(Self { sticky, rules, shadow, fallback, counted }))
    }
}

/// The version that a request goes to.
pub(crate) struct Pick<'r> {
    pub(crate) share: &'r Share,
    /// The input whose first row decides, once it is read.
    by_input: Option<&'r str>,
    /// Absent where the caller insists on the version, or weights alone decide.
    pub(crate) routing: Option<&'r Routing>,
}

impl Route {
    /// The version that a request goes to, as far as its headers say.
    ///
    /// # Errors
    /// None is ready here, or the version that the caller insists on is not part of the release.
    pub(crate) fn choose(
        &self,
        version: Option<i32>,
        headers: Headers<'_>,
    ) -> Result<Pick<'_>, Problem> {
        let (Some(routing), None) = (self.routing.as_deref(), version) else {
            let share = self.pick(version)?;
            return Ok(Pick { share, by_input: None, routing: None });
        };
        let pick = |share, by_input| Pick { share, by_input, routing: Some(routing) };
        let holds = |rule: &&Rule| rule.when.holds(headers.get(&rule.name));
        let ruled = routing.rules.iter().find(holds).and_then(|rule| self.shares.get(rule.at));
        if let Some(share) = ruled {
            return Ok(pick(share, None));
        }
        match &routing.sticky {
            Some(Sticky::Header(name)) => {
                let key = headers.get(name).filter(|key| !key.is_empty());
                let share = key.and_then(|key| {
                    let mut chooser = Chooser::new(&self.name);
                    chooser.feed(key);
                    self.chosen(chooser)
                });
                Ok(pick(share.map_or_else(|| self.pick(None), Ok)?, None))
            }
            // Any version reads it: they all keep one contract.
            Some(Sticky::Input(name)) => Ok(pick(self.pick(None)?, Some(name))),
            None => Ok(pick(self.pick(None)?, None)),
        }
    }

    fn chosen(&self, chooser: Chooser) -> Option<&Share> {
        let weights = self.shares.iter().map(|share| (share.served.number, share.weight));
        chooser.choose(weights).and_then(|at| self.shares.get(at))
    }
}

impl<'r> Pick<'r> {
    /// Whether no other version may answer instead.
    pub(crate) fn is_final(&self) -> bool {
        self.routing.is_none()
    }

    /// Lets the inputs decide, where they do.
    pub(crate) fn settle(&mut self, route: &'r Route, inputs: &[Tensor]) {
        let Some(name) = self.by_input.take() else { return };
        let Some(input) = inputs.iter().find(|input| input.name == name) else { return };
        let mut chooser = Chooser::new(&route.name);
        if key::feed_first_row(&mut chooser, input)
            && let Some(share) = route.chosen(chooser)
        {
            self.share = share;
        }
    }
}
