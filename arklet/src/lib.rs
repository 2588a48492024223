//! The agent in every base.
