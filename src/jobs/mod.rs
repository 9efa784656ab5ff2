//! What runs beside the mail path.
