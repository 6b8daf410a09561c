//! Requests, as rows of a table.

use super::needs::Need;

/// Whose a thing is, seen from whom grants on the team `own` were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Platform,
    Own,
    Other,
    Nobodys,
}

impl Place {
    /// Where things are.
    pub const THINGS: [Self; 3] = [Self::Own, Self::Other, Self::Nobodys];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Own => "own",
            Self::Other => "other",
            Self::Nobodys => "nobodys",
        }
    }

    /// The team's name.
    pub fn team(self) -> String {
        format!("team-{}", self.as_str())
    }
}

/// What stands for `{model}`, `{run}` and so on in a row.
#[derive(Debug, Clone, Default)]
pub struct Names(pub Vec<(&'static str, String)>);

impl Names {
    pub fn fill(&self, template: &str) -> String {
        self.0.iter().fold(template.to_owned(), |text, (key, name)| {
            text.replace(&format!("{{{key}}}"), name)
        })
    }

    pub fn set(&mut self, key: &str, name: &str) {
        for (known, was) in &mut self.0 {
            if *known == key {
                name.clone_into(was);
            }
        }
    }

    /// The same with names of things that are not there: all, or only the team that would receive one.
    pub fn absent(&self, kind: &str) -> Self {
        let change = |(key, name): &(&'static str, String)| {
            let absent = match *key {
                "receiving" => (kind == "team").then_some("absent-team"),
                "me" => None,
                _ if kind == "team" => None,
                "experiment" => Some("999999"),
                "run" | "files" => Some("ffffffffffffffffffffffffffffffff"),
                "version" => Some("ffffffff-ffff-ffff-ffff-ffffffffffff"),
                "logged" => Some("m-ffffffffffffffffffffffffffffffff"),
                "grant" => Some(super::world::NO_ID),
                "model" => Some("absent-model"),
                "deleted" => Some("absent-deleted"),
                "endpoint" => Some("absent-endpoint"),
                "inference" => Some("absent-inference"),
                "named" => Some("absent experiment"),
                "team" => Some("absent-team"),
                _ => None,
            };
            (*key, absent.map_or_else(|| name.clone(), str::to_owned))
        };
        Self(self.0.iter().map(change).collect())
    }
}

/// A request that is sent by each principal about each thing.
pub struct Row {
    /// As the document has it: `GET /api/v1/models/{name}`.
    pub operation: &'static str,
    pub query: &'static str,
    pub body: Option<Body>,
    /// Questions that are asked only sometimes, and of this request.
    pub with: Vec<&'static str>,
    only: Option<&'static [Place]>,
    /// Requests of the administrator that make a success undone.
    pub undo: Vec<(&'static str, Option<String>)>,
    /// A request of the administrator that makes the thing, and where its answer has which name.
    pub fresh: Option<(&'static str, &'static str, (&'static str, &'static str))>,
    pub params: Vec<(&'static str, &'static str)>,
    /// The team that would own the thing.
    pub receiving: Option<Place>,
    /// What who may not is told where it is not hidden.
    pub refused: u16,
    /// A status of 401 or 403 that is no refusal for want of a grant.
    pub own_refusal: u16,
    /// What must be in the answer where it may be seen.
    pub shows: Option<&'static str>,
    /// Whether it makes something new, which nobody can hide.
    pub makes: bool,
    /// Whether what it needs is not there in this test, so that 503 is no failure.
    pub is_away: bool,
    /// Whether who audits or administers the platform may in any case.
    pub is_overseen: bool,
    /// Whether who may is told that it is not there, as it never is.
    pub is_absent_to_all: bool,
}

pub enum Body {
    Json(&'static str),
    Bytes(&'static str),
}

/// A row that asks this operation without a body.
pub fn ask(operation: &'static str) -> Row {
    Row {
        operation,
        query: "",
        body: None,
        with: Vec::new(),
        only: None,
        undo: Vec::new(),
        fresh: None,
        params: Vec::new(),
        receiving: None,
        refused: 403,
        own_refusal: 0,
        shows: None,
        makes: false,
        is_overseen: false,
        is_away: false,
        is_absent_to_all: false,
    }
}

/// A row that sends JSON.
pub fn send(operation: &'static str, json: &'static str) -> Row {
    Row { body: Some(Body::Json(json)), ..ask(operation) }
}

impl Row {
    pub fn query(self, query: &'static str) -> Self {
        Self { query, ..self }
    }

    pub fn bytes(self, bytes: &'static str) -> Self {
        Self { body: Some(Body::Bytes(bytes)), ..self }
    }

    pub fn with(mut self, need: &'static str) -> Self {
        self.with.push(need);
        self
    }

    pub fn param(mut self, name: &'static str, value: &'static str) -> Self {
        self.params.push((name, value));
        self
    }

    pub fn undo(mut self, operation: &'static str, body: &str) -> Self {
        let body = (!body.is_empty()).then(|| body.to_owned());
        self.undo.push((operation, body));
        self
    }

    pub fn fresh(
        self,
        operation: &'static str,
        json: &'static str,
        name: (&'static str, &'static str),
    ) -> Self {
        Self { fresh: Some((operation, json, name)), ..self }
    }

    pub fn only(self, places: &'static [Place]) -> Self {
        Self { only: Some(places), ..self }
    }

    pub fn receiving(self, place: Place) -> Self {
        Self { receiving: Some(place), ..self }
    }

    pub fn refused(self, status: u16) -> Self {
        Self { refused: status, ..self }
    }

    pub fn own_refusal(self, status: u16) -> Self {
        Self { own_refusal: status, ..self }
    }

    pub fn shows(self, name: &'static str) -> Self {
        Self { shows: Some(name), ..self }
    }

    pub fn makes(self) -> Self {
        Self { makes: true, ..self }
    }

    pub fn overseen(self) -> Self {
        Self { is_overseen: true, ..self }
    }

    pub fn away(self) -> Self {
        Self { is_away: true, ..self }
    }

    pub fn absent_to_all(self) -> Self {
        Self { is_absent_to_all: true, ..self }
    }

    /// Of whose things it is asked.
    pub fn places(&self, needs: &[Need]) -> &'static [Place] {
        if let Some(places) = self.only {
            return places;
        }
        let is_of = |kind: &str| needs.iter().any(|need| need.resource == kind && !need.each);
        if ["model", "endpoint", "experiment", "any"].into_iter().any(is_of) {
            &Place::THINGS
        } else if is_of("team") {
            &[Place::Own, Place::Other]
        } else {
            &[Place::Platform]
        }
    }
}
