//! What may happen while requests come: none of them fails.

mod alias;
mod load;
mod outage;
