"""The node's page, its JSON interface and DICOMweb, served from a thread of the node's process.

`server` holds the port, `shield` bounds and checks every request, `access` says who calls,
`application` lists the routes; a route's handler is in `pages`, `api`, `stow`, `uploads` or `live`.
"""
