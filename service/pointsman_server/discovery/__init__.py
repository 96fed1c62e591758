"""Where the endpoints of backends are: fixed lists, DNS and Kubernetes, each as one stream of endpoint sets."""
