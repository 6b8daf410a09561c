//! Webhooks: what happened, told to whoever asked, at least once and in order.
