//! What is wrong with a place is said in plain words, and no blob is blamed for it.

use std::{fs, net::TcpListener, time::Duration};

use artifacts::{Artifacts, Error, Location, S3Settings};
use domain::Problem;
use store::blobs;
use weed::{BUCKET, Weed};

use crate::{places::Place, world::World};

pub(crate) async fn of_a_folder() {
    let world = World::new(Place::folder()).await;
    let digest = world.push(b"bytes").await.digest;
    let Location::Folder(root) = &world.place.location else { unreachable!() };
    fs::rename(root, root.with_extension("elsewhere")).unwrap();

    let error = world.artifacts.check().await.unwrap_err();
    assert!(matches!(error, Error::NoFolder(_)), "{error}");
    assert!(matches!(world.artifacts.ping(Duration::from_secs(1)).await, Err(Error::NoFolder(_))));
    assert!(matches!(world.pull(&digest).await, Err(Error::NoFolder(_))));
    let blob = blobs::get(world.database(), &digest).await.unwrap().unwrap();
    assert!(!blob.corrupt, "a disk that is not mounted is no damage");

    // Not even root may make folders there.
    let unwritable = Location::Folder("/sys/bottega".into());
    let opened = Artifacts::at(&unwritable, &S3Settings::default(), world.database().clone());
    let error = opened.err().unwrap();
    assert_eq!(error.to_string(), "the folder /sys/bottega is not writable");
    let problem = Problem::from(error);
    assert!(!format!("{problem:?}").contains("/sys"), "callers learn no paths: {problem:?}");
}

pub(crate) async fn of_s3(weed: &Weed) {
    let world = World::new(Place::s3(weed, "faults")).await;
    let digest = world.push(b"bytes").await.digest;
    let at = |bucket: &str, changes: &[(&str, &str)]| {
        let location = Location::S3 { bucket: bucket.to_owned(), prefix: "faults".to_owned() };
        Artifacts::at(
            &location,
            &weed.environment(changes).into_iter().collect(),
            world.database().clone(),
        )
    };

    let absent = at("absent", &[]).unwrap();
    let error = absent.check().await.unwrap_err();
    assert_eq!(error.to_string(), "the bucket `absent` does not exist");
    let read = absent.open(&digest).await.err().unwrap();
    assert!(matches!(read, Error::NoBucket(_)), "{read}");
    let blob = blobs::get(world.database(), &digest).await.unwrap().unwrap();
    assert!(!blob.corrupt, "a missing bucket is no damage");

    for (variable, code) in [
        ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"),
        ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"),
    ] {
        let error = at(BUCKET, &[(variable, "wrong")]).unwrap().check().await.unwrap_err();
        assert!(matches!(&error, Error::Credentials { code: said, .. } if said == code), "{error}");
        let problem = format!("{:?}", Problem::from(error));
        assert!(!problem.contains("127.0.0.1") && !problem.contains(BUCKET), "{problem}");
    }

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let somewhere = format!("http://{}", listener.local_addr().unwrap());
    let silent = at(BUCKET, &[("AWS_ENDPOINT_URL", &somewhere)]).unwrap();
    let error = silent.ping(Duration::from_millis(300)).await.unwrap_err().to_string();
    assert!(error.ends_with("cannot be reached: no answer within 300ms"), "{error}");
    drop(listener);
    let error = silent.check().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");

    let keyless = [("AWS_ENDPOINT_URL", weed.endpoint()), ("AWS_METADATA_ENDPOINT", somewhere)];
    let keyless = keyless.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    let error = artifacts::probe(&world.place.location, &keyless).await.unwrap_err();
    assert!(matches!(error, Error::NoCredentials(_)), "{error}");

    for wrong in ["not a url", "127.0.0.1:9000", "ftp://127.0.0.1"] {
        let error = at(BUCKET, &[("AWS_ENDPOINT_URL", wrong)]).err().unwrap();
        let said = format!("AWS_ENDPOINT_URL is `{wrong}`: expected http(s)://HOST:PORT");
        assert_eq!(error.to_string(), said);
    }
}
