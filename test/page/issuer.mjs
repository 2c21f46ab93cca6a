// An OpenID Connect issuer, as certified ones are, on loopback. Whoever comes is
// who they say; the addresses of names that begin with "new" are not verified,
// and those that begin with "carol" are of the group sre. One that conforms says
// so at its user info endpoint only, as OpenID Connect has it for this flow; the
// other in the identity token, as many do.
import { Provider } from 'oidc-provider';

export const client = { id: 'homeostat-page', secret: 'known to the page and the issuer only' };

export async function issuer(port, back, conforms) {
  const url = `http://127.0.0.1:${port}`;
  const provider = new Provider(url, {
    clients: [{ client_id: client.id, client_secret: client.secret, redirect_uris: [back], grant_types: ['authorization_code'], response_types: ['code'] }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    conformIdTokenClaims: conforms,
    pkce: { required: () => true },
    cookies: { keys: ['of this test'] },
    findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id, email: id, email_verified: !id.startsWith('new'), groups: id.startsWith('carol') ? ['staff', 'sre'] : ['staff'] }) }),
  });
  const server = await new Promise((ok) => { const s = provider.listen(port, '127.0.0.1', () => ok(s)); });
  return { url, stop: () => new Promise((ok) => { server.closeAllConnections(); server.close(ok); }) };
}
