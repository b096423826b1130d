// A socket.io-client that is told what to do by JSON lines on standard input, and tells what
// happens in JSON lines on standard output.
//
// Usage: node bridge.js <url of the namespace> <transports, joined with commas> <auth as JSON>
//
// Told:  {"id": 1, "do": "emit", "event": "call", "arguments": [...], "ack": true}
//        {"id": 2, "do": "acknowledge", "on": false}
// Tells: {"event": "connect"}, {"event": "upgrade", "transport": "websocket"},
//        {"event": "disconnect"}, {"event": "problem", "message": "..."},
//        {"event": "ack", "id": 1, "arguments": [...]},
//        {"event": "stream-data", "payload": {...}}, likewise stream-end and stream-error

"use strict";

const readline = require("node:readline");
const { io } = require("socket.io-client");

const [url, transports, auth] = process.argv.slice(2);
const socket = io(url, {
    transports: transports.split(","),
    reconnection: false,
    auth: JSON.parse(auth),
});
let acknowledging = true;

function tell(event) {
    process.stdout.write(`${JSON.stringify(event)}\n`);
}

socket.on("connect", () => {
    const { engine } = socket.io;
    tell({ event: "connect", transport: engine.transport.name });
    engine.on("upgrade", (transport) => tell({ event: "upgrade", transport: transport.name }));
});
socket.on("connect_error", (error) => tell({ event: "problem", message: error.message }));
socket.on("disconnect", (reason) => tell({ event: "disconnect", reason }));

for (const event of ["stream-data", "stream-end", "stream-error"]) {
    socket.on(event, (payload, ack) => {
        tell({ event, payload });
        if (ack && acknowledging) {
            ack(null);
        }
    });
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const told = JSON.parse(line);
    if (told.do === "acknowledge") {
        acknowledging = told.on;
    } else if (told.ack) {
        socket.emit(told.event, ...told.arguments, (...values) =>
            tell({ event: "ack", id: told.id, arguments: values }));
    } else {
        socket.emit(told.event, ...told.arguments);
    }
}).on("close", () => {
    // A poll that the server holds open would keep the process alive.
    socket.io.engine.once("close", () => process.exit(0));
    socket.disconnect();
});
