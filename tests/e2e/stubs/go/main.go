// A caller in Go: one streamed answer, printed as it comes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "example.com/caller/gen/pointsman/v1"
)

func main() {
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	stream, err := pb.NewInferenceServiceClient(conn).StreamGenerate(context.Background(), &pb.GenerateRequest{
		Model: "simulator",
		Input: &pb.GenerateRequest_Prompt{Prompt: os.Args[2]},
	})
	if err != nil {
		log.Fatal(err)
	}
	completed := false
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		for _, delta := range message.GetDeltas() {
			fmt.Print(delta.GetText())
		}
		completed = completed || message.GetCompleted() != nil
	}
	if !completed {
		log.Fatal("the stream ended before it was complete")
	}
	fmt.Println()
}
