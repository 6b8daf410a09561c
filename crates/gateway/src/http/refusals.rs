//! How requests may be refused, documented in one word for each surface, whose bodies differ.

/// How a prediction may be refused: `not_predicted!(ErrorBody)`.
macro_rules! not_predicted {
    ($body:ident) => {
        /// How a prediction may be refused, documented in one word.
        #[derive(utoipa::IntoResponses)]
        #[expect(dead_code, reason = "only its documentation is used")]
        pub(in crate::http) enum NotPredicted {
            #[response(status = 400, description = "The request does not fit the endpoint's model")]
            Invalid($body),
            #[response(status = 401, description = "No token that we know")]
            Unauthenticated($body),
            #[response(status = 403, description = "A quota is spent, or the caller may not")]
            Forbidden($body),
            #[response(
                status = 404,
                description = "No such endpoint, or it does not serve the version that is asked for"
            )]
            Absent($body),
            #[response(status = 413, description = "The body is too large")]
            TooLarge($body),
            #[response(
                status = 429,
                description = "Too many requests just now; `retry-after` and `ratelimit` say when to come back"
            )]
            RateLimited($body),
            #[response(
                status = 502,
                description = "The model's own code, its process or the server that it stands for failed"
            )]
            ModelFailed($body),
            #[response(
                status = 503,
                description = "No version is ready, or too many requests wait"
            )]
            Unavailable($body),
            #[response(status = 504, description = "The model did not answer in time")]
            Timeout($body),
        }
    };
}

/// How the question what an endpoint is may be refused: `not_shown!(ErrorBody)`.
macro_rules! not_shown {
    ($body:ident) => {
        /// How the question what an endpoint is may be refused, documented in one word.
        #[derive(utoipa::IntoResponses)]
        #[expect(dead_code, reason = "only its documentation is used")]
        pub(in crate::http) enum NotShown {
            #[response(status = 401, description = "No token that we know")]
            Unauthenticated($body),
            #[response(
                status = 404,
                description = "No such endpoint, or it does not serve the version that is asked for"
            )]
            Absent($body),
            #[response(
                status = 503,
                description = "No version is ready, or the database is away for too long"
            )]
            Unavailable($body),
        }
    };
}

pub(super) use {not_predicted, not_shown};
