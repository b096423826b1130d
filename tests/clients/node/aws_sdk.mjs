// The commands of tests/clients/sdk.py with @aws-sdk/client-s3 and @aws-sdk/lib-storage.

import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";

import { ranges, require, serve, settings } from "./commands.mjs";

const http = require("node:http");
const S3 = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");

// With S3_ADDRESS, buckets are in the host, as they are by default, and every host is there.
const address = process.env.S3_ADDRESS;
const lookup = (_, options, found) =>
    options.all ? found(null, [{ address, family: 4 }]) : found(null, address, 4);
const client = new S3.S3Client({
    endpoint: settings.endpoint.origin,
    region: "us-east-1",
    forcePathStyle: !address,
    requestHandler: address ? { httpAgent: new http.Agent({ lookup }) } : undefined,
    maxAttempts: 1,
    credentials: { accessKeyId: settings.accessKey, secretAccessKey: settings.secretKey },
});

function sourceOf({ bucket, from }) {
    return encodeURIComponent(`${bucket}/${from}`);
}

async function stat({ bucket, key }) {
    const found = await client.send(new S3.HeadObjectCommand({ Bucket: bucket, Key: key }));
    return {
        size: found.ContentLength,
        etag: found.ETag,
        contentType: found.ContentType,
        cacheControl: found.CacheControl,
        metadata: found.Metadata,
    };
}

await serve({
    stat,

    async makeBucket({ bucket }) {
        await client.send(new S3.CreateBucketCommand({ Bucket: bucket }));
    },

    async removeBucket({ bucket }) {
        await client.send(new S3.DeleteBucketCommand({ Bucket: bucket }));
    },

    async put({ bucket, key, file, contentType, cacheControl, metadata, partSize }) {
        const upload = new Upload({
            client,
            partSize,
            params: {
                Bucket: bucket,
                Key: key,
                Body: createReadStream(file),
                ContentType: contentType,
                CacheControl: cacheControl,
                Metadata: metadata,
            },
        });
        return (await upload.done()).ETag;
    },

    async get({ bucket, key, file }) {
        const found = await client.send(new S3.GetObjectCommand({ Bucket: bucket, Key: key }));
        await pipeline(found.Body, createWriteStream(file));
    },

    async list({ bucket }) {
        const entries = [];
        const pages = S3.paginateListObjectsV2({ client, pageSize: 7 }, { Bucket: bucket });
        for await (const page of pages) {
            entries.push(...(page.Contents ?? []));
        }
        return entries.map((entry) => ({ key: entry.Key, etag: entry.ETag, size: entry.Size }));
    },

    async copy({ bucket, from, to }) {
        const CopySource = sourceOf({ bucket, from });
        await client.send(new S3.CopyObjectCommand({ Bucket: bucket, Key: to, CopySource }));
    },

    // The SDK has no operation for this: the source's description is given again by hand.
    async copyByParts({ bucket, from, to, partSize }) {
        const { size, contentType, cacheControl, metadata } = await stat({ bucket, key: from });
        const address = { Bucket: bucket, Key: to };
        const { UploadId } = await client.send(
            new S3.CreateMultipartUploadCommand({
                ...address,
                ContentType: contentType,
                CacheControl: cacheControl,
                Metadata: metadata,
            }),
        );
        const parts = ranges(size, partSize).map(async ({ start, end }, index) => {
            const part = { ...address, UploadId, PartNumber: index + 1 };
            const { CopyPartResult } = await client.send(
                new S3.UploadPartCopyCommand({
                    ...part,
                    CopySource: sourceOf({ bucket, from }),
                    CopySourceRange: `bytes=${start}-${end}`,
                }),
            );
            return { PartNumber: part.PartNumber, ETag: CopyPartResult.ETag };
        });
        await client.send(
            new S3.CompleteMultipartUploadCommand({
                ...address,
                UploadId,
                MultipartUpload: { Parts: await Promise.all(parts) },
            }),
        );
    },

    async remove({ bucket, keys }) {
        const Objects = keys.map((Key) => ({ Key }));
        const { Errors } = await client.send(
            new S3.DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }),
        );
        if (Errors?.length) {
            throw new Error(JSON.stringify(Errors));
        }
    },
}, (error) => error.name);
