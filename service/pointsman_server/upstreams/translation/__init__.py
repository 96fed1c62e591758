"""What every dialect is made of: profiles, decoding, faults, options. Pure; knows no dialect and no provider."""
