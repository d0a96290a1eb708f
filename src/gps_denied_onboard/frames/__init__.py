"""Where pictures come from: a camera, a folder of photographs, a video, a recording. All yield Frame in time order."""
