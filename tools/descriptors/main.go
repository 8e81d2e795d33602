// Writes the descriptors of the gRPC services that Aegis serves, with all that they import, as one FileDescriptorSet: what
// server reflection tells clients.
//
//	descriptors OUT PROTO_FOLDER
//
// Those of Envoy and gRPC come from their Go modules, which go.sum pins; our own .proto files are compiled.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	_ "google.golang.org/grpc/health/grpc_health_v1"
	_ "google.golang.org/grpc/reflection/grpc_reflection_v1"
	_ "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
)

var services = []protoreflect.FullName{
	"envoy.service.auth.v3.Authorization",
	"envoy.service.ext_proc.v3.ExternalProcessor",
	"grpc.health.v1.Health",
	"grpc.reflection.v1.ServerReflection",
	"grpc.reflection.v1alpha.ServerReflection",
}

// set gathers files, each after those that it imports.
type set struct {
	seen  map[string]bool
	files []*descriptorpb.FileDescriptorProto
}

func (s *set) add(file protoreflect.FileDescriptor) {
	if s.seen[file.Path()] {
		return
	}
	s.seen[file.Path()] = true
	imports := file.Imports()
	for i := 0; i < imports.Len(); i++ {
		s.add(imports.Get(i).FileDescriptor)
	}
	s.files = append(s.files, protodesc.ToFileDescriptorProto(file))
}

func run(out, folder string) error {
	gathered := set{seen: map[string]bool{}}
	for _, name := range services {
		service, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		gathered.add(service.ParentFile())
	}
	own, err := filepath.Glob(filepath.Join(folder, "*", "*.proto"))
	if err != nil || len(own) == 0 {
		return fmt.Errorf("no .proto files in %s", folder)
	}
	sort.Strings(own)
	for i, path := range own {
		if own[i], err = filepath.Rel(folder, path); err != nil {
			return err
		}
	}
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(
		&protocompile.SourceResolver{ImportPaths: []string{folder}})}
	files, err := compiler.Compile(context.Background(), own...)
	if err != nil {
		return err
	}
	for _, file := range files {
		gathered.add(file)
	}
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(
		&descriptorpb.FileDescriptorSet{File: gathered.files})
	if err != nil {
		return err
	}
	return os.WriteFile(out, bytes, 0o644)
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: descriptors OUT PROTO_FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "descriptors:", err)
		os.Exit(1)
	}
}
