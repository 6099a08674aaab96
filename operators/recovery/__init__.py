"""Put right what went wrong: late or lost parcels, outages, rejections, withdrawals."""
