// Serves commands: JSON lines on standard input, one JSON line of answer each on standard output.
//
// Told:  {"do": "stat", "bucket": "...", "key": "..."}, and the environment variables S3_ENDPOINT,
//        S3_ACCESS_KEY and S3_SECRET_KEY
// Tells: {"result": ...} or {"error": "<the SDK's name of the error>", "message": "..."}
//
// What the commands are is said in tests/clients/sdk.py.

import { createRequire } from "node:module";
import readline from "node:readline";

// Modules of the `import` kind are not looked for in NODE_PATH, those of the `require` kind are.
export const require = createRequire(import.meta.url);

export const settings = {
    endpoint: new URL(process.env.S3_ENDPOINT),
    accessKey: process.env.S3_ACCESS_KEY,
    secretKey: process.env.S3_SECRET_KEY,
};

// The first and the last byte of each part of an object.
export function ranges(size, partSize) {
    return Array.from({ length: Math.ceil(size / partSize) }, (_, index) => {
        const start = index * partSize;
        return { start, end: Math.min(start + partSize, size) - 1 };
    });
}

function tell(answer) {
    process.stdout.write(`${JSON.stringify(answer)}\n`);
}

export async function serve(commands, nameOf) {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const { do: name, ...told } = JSON.parse(line);
        try {
            tell({ result: (await commands[name](told)) ?? null });
        } catch (error) {
            tell({ error: String(nameOf(error)), message: String(error.stack) });
        }
    }
}
