"""Progressive validation of the predictions, beside LightGBM and naive baselines."""
