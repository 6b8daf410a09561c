//! A model that a server of others runs, asked by the protocol that the server speaks.

use std::time::{Duration, Instant};

use domain::{
    Problem, Signature, Tensor,
    external::{External, Protocol},
};
use protocol::{
    scoring::{self, Asked},
    tensorflow,
    v2::{json, metadata::ModelMetadata},
};
use reqwest::Url;

use crate::{Asks, Failure, Remote, Server};

/// The most bytes that a server says of its model.
const MOST_SAID: usize = 1 << 20;

/// How many bytes of JSON an answer may have for each byte of its tensors: a small number takes that.
const TEXT: usize = 8;
/// So many more than its tensors at most: an answer is held in memory while it is read.
const MORE_TEXT: usize = 256 << 20;

/// A model, ready to be asked.
#[derive(Debug, Clone)]
pub struct Model {
    protocol: Protocol,
    predict: Server,
    /// What goes in.
    signature: Signature,
    /// What comes out, as what a tensor is checked against.
    outputs: Signature,
    timeout: Option<Duration>,
}

/// The server's address with the protocol's path behind it.
fn at(external: &External, protocol_path: &[&str]) -> Result<Url, Failure> {
    let wrong = || Failure::Unreachable("it has no address".to_owned());
    let mut url = Url::parse(external.url.as_str()).map_err(|_| wrong())?;
    url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(protocol_path);
    Ok(url)
}

fn server(external: &External, path: &[&str]) -> Result<Server, Failure> {
    let headers = external.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
    let url = at(external, path)?;
    Server::new(url.as_str(), headers.collect())
}

impl Model {
    /// The model of a version of that signature.
    ///
    /// # Errors
    /// Its URL is none.
    pub fn new(external: &External, signature: &Signature) -> Result<Self, Failure> {
        let name = external.model.as_ref().map_or("", |name| name.as_str());
        let version = external.version.as_ref().map(|version| version.as_str());
        let predict = match (external.protocol, version) {
            (Protocol::V2, None) => server(external, &["v2", "models", name, "infer"]),
            (Protocol::V2, Some(version)) => {
                server(external, &["v2", "models", name, "versions", version, "infer"])
            }
            (Protocol::TensorFlow, None) => {
                server(external, &["v1", "models", &format!("{name}:predict")])
            }
            (Protocol::TensorFlow, Some(version)) => {
                let version = format!("{version}:predict");
                server(external, &["v1", "models", name, "versions", &version])
            }
            (Protocol::MlFlow | Protocol::SageMaker, _) => server(external, &["invocations"]),
        }?;
        Ok(Self {
            protocol: external.protocol,
            predict,
            outputs: Signature::new(signature.outputs.clone(), Vec::new()),
            signature: signature.clone(),
            timeout: external.timeout.map(domain::serving::Span::get),
        })
    }

    /// What goes in and comes out.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The server's host, for people.
    #[must_use]
    pub fn host(&self) -> &str {
        self.predict.url().host_str().unwrap_or_default()
    }

    /// What a request looks like, every element zero.
    ///
    /// # Errors
    /// The signature has more elements than an example spells out.
    pub fn example(&self) -> Result<Vec<Tensor>, Problem> {
        let body = json::example(&self.signature).to_string();
        json::decode(body.as_bytes(), &self.signature).map(|request| request.inputs)
    }

    /// Asks for a prediction: the outputs in the signature's order, of at most so many bytes together.
    ///
    /// # Errors
    /// The server did not answer as it should.
    pub async fn ask(
        &self,
        by: &impl Asks,
        inputs: &[Tensor],
        most: usize,
        deadline: Instant,
    ) -> Result<Vec<Tensor>, Failure> {
        let mut body = Vec::new();
        let encoded = match self.protocol {
            Protocol::V2 => json::encode_request(&mut body, &inputs.iter().collect::<Vec<_>>()),
            Protocol::TensorFlow => tensorflow::encode_request(&mut body, inputs),
            Protocol::MlFlow => scoring::encode_request(&mut body, Asked::MlFlow, inputs),
            Protocol::SageMaker => scoring::encode_request(&mut body, Asked::Instances, inputs),
        };
        encoded.map_err(Failure::Input)?;
        let own = self.timeout.map_or(deadline, |timeout| Instant::now() + timeout);
        let text = most.saturating_mul(TEXT).min(most.saturating_add(MORE_TEXT));
        let mut answer = by.post(&self.predict, body, text, deadline.min(own)).await;
        if let Err(Failure::TooLarge { limit, .. }) = &mut answer {
            *limit = most;
        }
        let answer = answer?;
        let specs = self.outputs.inputs.as_slice();
        let read = match self.protocol {
            Protocol::V2 => json::decode_answer(&answer),
            Protocol::TensorFlow => tensorflow::decode_answer(&answer, specs),
            Protocol::MlFlow | Protocol::SageMaker => scoring::decode_answer(&answer, specs),
        };
        let read = read.map_err(|problem| Failure::Wrong(problem.message))?;
        let taken = self.taken(read)?;
        let mut left = most;
        for tensor in &taken {
            left = left.checked_sub(tensor.data.bytes()).ok_or_else(|| Failure::TooLarge {
                output: Some(tensor.name.clone()),
                limit: most,
            })?;
        }
        Ok(taken)
    }

    /// The outputs of the signature, in its order, if they are what it says.
    fn taken(&self, mut answer: Vec<Tensor>) -> Result<Vec<Tensor>, Failure> {
        let wanted = &self.outputs.inputs;
        answer.retain(|tensor| wanted.iter().any(|spec| spec.name == tensor.name));
        self.outputs.check(&answer).map_err(|problem| {
            let told = problem.message.replace("the model expects", "expected is");
            Failure::Wrong(told.replace("input `", "output `"))
        })?;
        let place = |tensor: &Tensor| wanted.iter().position(|spec| spec.name == tensor.name);
        answer.sort_by_key(place);
        Ok(answer)
    }
}

/// What goes in and comes out, as the server itself says it; absent where its protocol has no word for it.
///
/// # Errors
/// The server did not answer as it should.
pub async fn describe(
    remote: &Remote,
    external: &External,
    deadline: Instant,
) -> Result<Option<Signature>, Failure> {
    let name = external.model.as_ref().map_or("", |name| name.as_str());
    let mut path = match external.protocol {
        Protocol::V2 => vec!["v2", "models", name],
        Protocol::TensorFlow => vec!["v1", "models", name],
        Protocol::MlFlow | Protocol::SageMaker => return Ok(None),
    };
    if let Some(version) = &external.version {
        path.extend(["versions", version.as_str()]);
    }
    if external.protocol == Protocol::TensorFlow {
        path.push("metadata");
    }
    let told = remote.get(&server(external, &path)?, MOST_SAID, deadline).await?;
    let read = match external.protocol {
        Protocol::TensorFlow => tensorflow::decode_metadata(&told),
        Protocol::V2 | Protocol::MlFlow | Protocol::SageMaker => {
            ModelMetadata::read(&told).map(|metadata| metadata.signature())
        }
    };
    read.map(Some).map_err(|problem| Failure::Wrong(problem.message))
}
