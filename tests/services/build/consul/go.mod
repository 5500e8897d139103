module consul-for-tests

go 1.20

require github.com/hashicorp/consul v1.16.1

exclude (
	github.com/hashicorp/go-msgpack v1.1.5
	github.com/hashicorp/go-msgpack v1.1.6
)

replace github.com/hashicorp/go-discover => ./nodiscover
