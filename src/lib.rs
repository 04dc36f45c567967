//! smtp-check
