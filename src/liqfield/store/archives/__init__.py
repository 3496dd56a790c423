"""Downloaded archives of venues and vendors as events in event-time order; knows only the model."""
