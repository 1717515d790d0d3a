import assert from 'node:assert/strict'
import test from 'node:test'
import { toStoreError } from '../../src/uploader/store-errors.ts'

const cases: [error: object, kind: string, hint: RegExp, storeWide: boolean][] = [
  [{ name: 'NoSuchBucket' }, 'no-bucket', /S3_BUCKET_NAME/, true],
  [{ name: 'InvalidAccessKeyId' }, 'wrong-credentials', /AWS_ACCESS_KEY_ID/, true],
  [{ name: 'SignatureDoesNotMatch' }, 'wrong-credentials', /AWS_SECRET_ACCESS_KEY/, true],
  [{ name: 'CredentialsProviderError' }, 'wrong-credentials', /AWS_ACCESS_KEY_ID/, true],
  [{ name: 'ExpiredToken' }, 'expired-credentials', /AWS_SESSION_TOKEN/, true],
  [{ name: 'RequestTimeTooSkewed' }, 'clock-skew', /clock/, true],
  [{ name: 'Error', code: 'CERT_NOT_YET_VALID' }, 'clock-skew', /clock is behind/, true],
  [{ name: 'PermanentRedirect' }, 'wrong-region', /AWS_REGION/, true],
  [{ name: 'AccessDenied' }, 'denied', /s3:PutObject/, true],
  [{ name: '403', $metadata: { httpStatusCode: 403 } }, 'denied', /s3:PutObject/, true],
  [{ name: 'SlowDown' }, 'throttled', /overloaded/, true],
  [{ name: 'Unknown', $metadata: { httpStatusCode: 503 } }, 'throttled', /fault/, true],
  [{ name: 'Unknown', $metadata: { httpStatusCode: 429 } }, 'throttled', /fault/, true],
  [{ name: 'TimeoutError' }, 'timeout', /S3_ENDPOINT/, true],
  [{ name: 'Error', code: 'ECONNREFUSED' }, 'unreachable', /network/, true],
  [{ name: 'Error', code: 'ENOTFOUND' }, 'unreachable', /S3_ENDPOINT/, true],
  [{ name: 'Error', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }, 'unreachable', /certificate/, true],
  [{ name: 'KMS.NotFoundException' }, 'refused', /S3_KMS_KEY_ID/, true],
  [{ name: 'NotImplemented' }, 'refused', /S3_SERVER_SIDE_ENCRYPTION=none/, true],
  [{ name: 'InvalidStorageClass' }, 'refused', /S3_STORAGE_CLASS/, true],
  [{ name: 'PreconditionFailed' }, 'exists', /taken/, false],
  [{ name: 'BadDigest' }, 'other', /altered/, false],
  [{ name: 'EntityTooLarge', $metadata: { httpStatusCode: 400 } }, 'refused', /file/, false],
]

for (const [error, kind, hint, storeWide] of cases)
  test(`${JSON.stringify(error)} is "${kind}", and says what to look at`, () => {
    const found = toStoreError(error, 'write')
    assert.equal(found.kind, kind)
    assert.match(found.hint, hint)
    assert.equal(found.storeWide, storeWide)
  })

test('what a denied read lacks is a permission to read', () => {
  assert.match(toStoreError({ name: 'AccessDenied' }, 'read').hint, /s3:GetObject.*s3:ListBucket/)
})
