{ kit, images }: images.develop
