"""What is to be believed: our own state's health and protection level, the GPS and when it may be given back, the
failsafe ladder, and the label that an estimate goes out under.

Pure: what the fusion did with each measurement and what it estimates goes in, an honest estimate comes out.
"""
