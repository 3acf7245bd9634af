//! (To be filled in.)
