//! Made-up customers and facts, for the demo and for measuring.
