# Admission of pods: images, labels, privileges, limits.
package bench

deny contains message if {
	some container in containers
	not allowed_image(container.image)
	message := sprintf("container %q: image %q is not from an allowed registry", [container.name, container.image])
}

deny contains message if {
	some container in containers
	container.securityContext.privileged
	message := sprintf("container %q is privileged", [container.name])
}

deny contains message if {
	some container in containers
	not container.resources.limits.memory
	message := sprintf("container %q has no memory limit", [container.name])
}

deny contains message if {
	some container in containers
	endswith(container.image, ":latest")
	message := sprintf("container %q uses the tag latest", [container.name])
}

deny contains message if {
	missing := required_labels - labels
	count(missing) > 0
	message := sprintf("labels are missing: %v", [missing])
}

deny contains "host network is not allowed" if input.request.object.spec.hostNetwork

deny contains message if {
	some volume in input.request.object.spec.volumes
	some kind, _ in volume
	kind != "name"
	not kind in data.volumes.allowed
	message := sprintf("volume %q: %s is not allowed", [volume.name, kind])
}

required_labels := {label | some label in data.labels.required}

labels := {label | some label, _ in input.request.object.metadata.labels}

containers contains container if some container in input.request.object.spec.containers

containers contains container if some container in input.request.object.spec.initContainers

allowed_image(image) if {
	some registry in data.registries
	startswith(image, registry)
}

relevant if {
	input.request.kind.kind == "Pod"
	input.request.operation in {"CREATE", "UPDATE"}
	not input.request.namespace in data.exempt_namespaces
}

default main := {"allowed": true, "reasons": set()}

main := {"allowed": count(deny) == 0, "reasons": deny} if relevant
