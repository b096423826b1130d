// URLs that @aws-sdk/s3-request-presigner signs, with the settings that it has by itself.
//
// presign  call, input: the name of a command and what it is given; the result is the URL

import { require, serve, settings } from "./commands.mjs";

const S3 = require("@aws-sdk/client-s3");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const client = new S3.S3Client({
    endpoint: settings.endpoint.origin,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: settings.accessKey, secretAccessKey: settings.secretKey },
});

await serve({
    async presign({ call, input }) {
        return getSignedUrl(client, new S3[`${call}Command`](input), { expiresIn: 60 });
    },
}, (error) => error.name);
