interface ImportMetaEnv {
  /** The server's WebSocket, where it is not the one of `make serve`. */
  readonly VITE_SERVER?: string;
}
