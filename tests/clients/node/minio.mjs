// The commands of tests/clients/sdk.py with minio's SDK.

import { require, serve, settings } from "./commands.mjs";

const Minio = require("minio");

function client(options = {}) {
    return new Minio.Client({
        endPoint: settings.endpoint.hostname,
        port: Number(settings.endpoint.port),
        useSSL: settings.endpoint.protocol === "https:",
        accessKey: settings.accessKey,
        secretKey: settings.secretKey,
        ...options,
    });
}

const plain = client();

// The answers have the ETag without its quotes.
function quoted(etag) {
    return `"${etag}"`;
}

// What a HEAD says beside size and ETag.
function described(metaData) {
    const { "content-type": contentType, "cache-control": cacheControl, ...rest } = metaData;
    return { contentType, cacheControl, metadata: rest };
}

await serve({
    async makeBucket({ bucket }) {
        await plain.makeBucket(bucket);
    },

    async removeBucket({ bucket }) {
        await plain.removeBucket(bucket);
    },

    async put({ bucket, key, file, contentType, cacheControl, metadata, partSize }) {
        const headers = { "Content-Type": contentType, "Cache-Control": cacheControl, ...metadata };
        const { etag } = await client({ partSize }).fPutObject(bucket, key, file, headers);
        return quoted(etag);
    },

    async get({ bucket, key, file }) {
        await plain.fGetObject(bucket, key, file);
    },

    async list({ bucket }) {
        const entries = [];
        for await (const { name, etag, size } of plain.listObjectsV2(bucket, "", true)) {
            entries.push({ key: name, etag: quoted(etag), size });
        }
        return entries;
    },

    async stat({ bucket, key }) {
        const { size, etag, metaData } = await plain.statObject(bucket, key);
        return { size, etag: quoted(etag), ...described(metaData) };
    },

    async copy({ bucket, from, to }) {
        await plain.copyObject(
            new Minio.CopySourceOptions({ Bucket: bucket, Object: from }),
            new Minio.CopyDestinationOptions({ Bucket: bucket, Object: to }),
        );
    },

    async join({ bucket, keys, to }) {
        const { metaData } = await plain.statObject(bucket, keys[0]);
        const { contentType, cacheControl, metadata } = described(metaData);
        await plain.composeObject(
            new Minio.CopyDestinationOptions({
                Bucket: bucket,
                Object: to,
                Headers: { "Content-Type": contentType, "Cache-Control": cacheControl },
                UserMetadata: metadata,
            }),
            keys.map((key) => new Minio.CopySourceOptions({ Bucket: bucket, Object: key })),
        );
    },

    async remove({ bucket, keys }) {
        const errors = (await plain.removeObjects(bucket, keys)).filter(Boolean);
        if (errors.length) {
            throw new Error(JSON.stringify(errors));
        }
    },
}, (error) => error.code ?? error.name);
