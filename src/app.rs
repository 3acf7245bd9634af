//! Composition root. (To be filled in.)
