//! Tests of the whole: the house's walls, and the real binary driven by real clients.
