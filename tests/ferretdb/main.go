// A server that speaks MongoDB's protocol, for the tests: FerretDB with its SQLite backend, in one process.
//
// It listens where it is told (-listen for plain TCP, -tls with -cert and -key for TLS), keeps its data in -dir and
// ends on SIGINT or SIGTERM. FerretDB's own command cannot be built as a dependency; this is what it needs of it.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "", "address for plain TCP, 127.0.0.1:PORT")
	tls := flag.String("tls", "", "address for TLS, 127.0.0.1:PORT")
	cert := flag.String("cert", "", "file of the TLS certificate")
	key := flag.String("key", "", "file of the TLS certificate's key")
	dir := flag.String("dir", "", "folder of the data, which must exist")
	flag.Parse()

	data, err := filepath.Abs(*dir)
	if err != nil || *dir == "" {
		log.Fatal("-dir is needed: ", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: *listen, TLS: *tls, TLSCertFile: *cert, TLSKeyFile: *key},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Handler:   "sqlite",
		SQLiteURL: "file:" + data + "/",
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
