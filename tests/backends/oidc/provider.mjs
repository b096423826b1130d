// oidc-provider over TLS, and one address that has it issue tokens: POST /issue.
//
// node provider.mjs settings.json node_modules: {port, path, key, cert, keys, claims},
// where "keys" are private JSON Web Keys, the first of which signs.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [, , settingsFile, modules] = process.argv
const settings = JSON.parse(readFileSync(settingsFile))
const entry = createRequire(`${modules}/`).resolve('oidc-provider')
const { default: Provider } = await import(pathToFileURL(entry))

const issuer = `https://localhost:${settings.port}${settings.path}`
const client = {
  client_id: 'app',
  client_secret: 'of-tests',
  redirect_uris: ['https://localhost/'],
  id_token_signed_response_alg: settings.keys[0].alg,
}
const provider = new Provider(issuer, {
  clients: [client, { ...client, client_id: 'other-app' }],
  jwks: { keys: settings.keys },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'ES384'] },
  claims: { openid: ['sub', 'amr', 'azp', ...settings.claims] },
  conformIdTokenClaims: false,
  cookies: { keys: ['of-tests'] },
})

async function issue (request, response) {
  let body = ''
  for await (const piece of request) body += piece
  const { audience, seconds, claims } = JSON.parse(body)
  const known = await provider.Client.find(audience)
  const token = new provider.IdToken(claims, { client: known, ctx: { oidc: { client: known } } })
  token.scope = 'openid'
  for (const [name, value] of Object.entries(claims)) token.set(name, value)
  response.end(await token.issue({ use: 'idtoken', expiresAt: Math.floor(Date.now() / 1000) + seconds }))
}

const handle = provider.callback()
const server = createServer(
  { key: readFileSync(settings.key), cert: readFileSync(settings.cert) },
  (request, response) => {
    if (request.url === '/issue') return issue(request, response).catch((error) => {
      response.statusCode = 500
      response.end(String(error.stack))
    })
    // Where a provider has a path, whatever is in front of it removes that.
    if (settings.path && request.url.startsWith(settings.path)) {
      request.originalUrl = request.url
      request.url = request.url.slice(settings.path.length) || '/'
    }
    handle(request, response)
  },
)
server.listen(settings.port, '127.0.0.1')
