import assert from 'node:assert/strict'
import test from 'node:test'
import { checkBucket } from '../../src/cli/check-store.ts'
import { S3ObjectStore } from '../../src/uploader/s3-object-store.ts'
import { never, settingsFor } from '../uploader/workbench.ts'
import { S3Server } from '../support/s3-server.ts'

test('a store that may not say what is not there is a fault, for the uploader must know', async (t) => {
  const server = await S3Server.start()
  t.after(async () => server.close())
  const settings = { ...settingsFor(server), encryption: 'AES256' } as const
  const check = async () =>
    checkBucket(new S3ObjectStore(settings), { key: 'recordings/.check', settings }, never)
  assert.equal((await check()).is, 'ok')
  server.options.refuse = ({ key, method }) =>
    method !== 'PUT' && !server.objects.has(key) ? { code: 'AccessDenied', status: 403 } : undefined
  const { is, text } = await check()
  assert.equal(is, 'fault')
  assert.match(text, /^AccessDenied.*s3:ListBucket on the bucket/)
})
