//! Parts that the workspace's tests share: scripted peers, fake sockets, stepped time.
