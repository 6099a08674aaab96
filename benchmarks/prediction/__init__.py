"""How good the predictions are, progressively, beside LightGBM and naive baselines."""
