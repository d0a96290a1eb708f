"""Health of our own state: consistency of its measurements, agreement of subsets, silence of the map, protection level.

Pure: what the fusion did with each measurement and what it estimates goes in, an honest estimate comes out.
"""
