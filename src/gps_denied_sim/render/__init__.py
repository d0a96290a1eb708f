"""Pictures of the scene: appearance, ground, vertical objects, camera, atmosphere, map tiles."""
