//! Typed settings. (To be filled in.)
