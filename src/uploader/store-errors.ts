import { StoreError, type StoreOperation, type StoreProblem } from './object-store.ts'

/** What an error of the AWS SDK looks like, as far as it matters here. */
interface SdkError {
  name?: string
  message?: string
  code?: string
  $metadata?: { httpStatusCode?: number }
}

interface Diagnosis {
  kind: StoreProblem
  hint: string
  storeWide: boolean
}

const overloaded = 'The store is overloaded or has a fault of its own; it is tried again.'

type Rule = [pattern: RegExp, kind: StoreProblem, hint: string]

/** By the error's name or code; the first that matches counts. All concern the whole store. */
const byName: Rule[] = [
  [
    /^NoSuchBucket$|^InvalidBucketName$/,
    'no-bucket',
    'There is no such bucket: look at S3_BUCKET_NAME.',
  ],
  [
    /^InvalidAccessKeyId$/,
    'wrong-credentials',
    'The store does not know the key: look at AWS_ACCESS_KEY_ID.',
  ],
  [
    /^SignatureDoesNotMatch$/,
    'wrong-credentials',
    'The secret does not fit the key: look at AWS_SECRET_ACCESS_KEY.',
  ],
  [
    /^(CredentialsProviderError|MissingSecurityHeader)$/,
    'wrong-credentials',
    'No credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a profile or role.',
  ],
  [
    /^(ExpiredToken\w*|TokenRefreshRequired|InvalidToken|RequestExpired)$/,
    'expired-credentials',
    'The credentials have expired: renew AWS_SESSION_TOKEN and its keys.',
  ],
  [
    /^RequestTimeTooSkewed$/,
    'clock-skew',
    "This machine's clock is wrong: set it, for example with timedatectl set-ntp true.",
  ],
  [
    /^(PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException|TemporaryRedirect)$/,
    'wrong-region',
    'The bucket lies in another region: look at AWS_REGION.',
  ],
  [
    /^KMS|^Kms/,
    'refused',
    'The store cannot encrypt with this key: look at S3_KMS_KEY_ID and S3_SERVER_SIDE_ENCRYPTION.',
  ],
  [
    /^InvalidStorageClass$/,
    'refused',
    'The store does not know this class: look at S3_STORAGE_CLASS.',
  ],
  [
    /^(InvalidEncryptionAlgorithmError|NotImplemented)$/,
    'refused',
    'The store cannot do this: try S3_SERVER_SIDE_ENCRYPTION=none and S3_STORAGE_CLASS=STANDARD.',
  ],
  [/^(AccessDenied|AllAccessDisabled|AccountProblem|Forbidden)$/, 'denied', ''],
  [
    /^(SlowDown|ServiceUnavailable|InternalError|Throttl\w*|TooManyRequests\w*|RequestLimitExceeded|RequestTimeout|OperationAborted|ConditionalRequestConflict)$/,
    'throttled',
    overloaded,
  ],
  // Before the next: the SDK calls a connection that was reset a timeout.
  [
    /^(ECONN\w+|EPIPE|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|ENETDOWN|EHOSTDOWN|ERR_SOCKET\w*)$/,
    'unreachable',
    'The store cannot be reached: look at the network, and at S3_ENDPOINT if it is set.',
  ],
  [
    /^(TimeoutError|ETIMEDOUT|RequestTimeoutException)$/,
    'timeout',
    'The store does not answer in time: look at the network, and at S3_ENDPOINT if it is set.',
  ],
  [
    /^CERT_NOT_YET_VALID$/,
    'clock-skew',
    "The store's certificate is not valid yet, which means that this machine's clock is behind: set it, for example with timedatectl set-ntp true.",
  ],
  [
    /CERT|^ERR_TLS|SELF_SIGNED|UNABLE_TO_VERIFY|^EPROTO$/,
    'unreachable',
    "The store's certificate is not trusted: look at S3_ENDPOINT and this machine's clock and certificates.",
  ],
  [
    /^(ENOTFOUND|EAI_AGAIN)$/,
    'unreachable',
    'The name of the store is not known: look at the network, S3_ENDPOINT and AWS_REGION.',
  ],
]

const alteredOnTheWay =
  /^(BadDigest|InvalidDigest|IncompleteBody|XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch)$/

const permissions = {
  read: 'The store denies reading: allow s3:GetObject on the objects and s3:ListBucket on the bucket.',
  write:
    'The store denies writing: allow s3:PutObject (and s3:AbortMultipartUpload) on the objects.',
}

/** Turns what the SDK throws into what the uploader acts upon and the operator reads. */
export function toStoreError(error: unknown, operation: StoreOperation): StoreError {
  const sdk = (error ?? {}) as SdkError
  const found = diagnose(sdk)
  const hint = found.kind === 'denied' ? permissions[operation] : found.hint
  // What the SDK adds in further lines is for programmers.
  const [text = ''] = sdk.message?.split('\n', 1) ?? []
  const message = [nameOf(sdk), isUnknown(text) ? '' : text].filter(Boolean).join(': ')
  return new StoreError({ ...found, hint }, message || 'unknown failure', operation, error)
}

function diagnose(error: SdkError): Diagnosis {
  const status = error.$metadata?.httpStatusCode
  if (error.name === 'PreconditionFailed' || status === 412)
    return { kind: 'exists', hint: 'The key is taken.', storeWide: false }
  if (alteredOnTheWay.test(error.name ?? ''))
    return { kind: 'other', hint: 'It was altered on its way; it is sent again.', storeWide: false }
  for (const [pattern, kind, hint] of byName)
    if (pattern.test(error.name ?? '') || pattern.test(error.code ?? ''))
      return { kind, hint, storeWide: true }
  return byStatus(status)
}

function byStatus(status: number | undefined): Diagnosis {
  if (status === 401 || status === 403) return { kind: 'denied', hint: '', storeWide: true }
  if (status === 301 || status === 307)
    return { kind: 'wrong-region', hint: 'Look at AWS_REGION and S3_ENDPOINT.', storeWide: true }
  if (status === 429 || (status !== undefined && status >= 500))
    return { kind: 'throttled', hint: overloaded, storeWide: true }
  if (status !== undefined && status >= 400)
    return { kind: 'refused', hint: 'The store refuses this file.', storeWide: false }
  const hint = 'The store answers in an unexpected way: look at S3_ENDPOINT and the proxies.'
  return { kind: 'other', hint, storeWide: true }
}

function nameOf({ name, code, $metadata }: SdkError): string {
  const known = name && !isUnknown(name) ? name : code
  const status = $metadata?.httpStatusCode
  return known ?? (status === undefined ? '' : `HTTP ${status}`)
}

/** What the SDK calls the answer to a HEAD that has failed, which has no body to say why. */
function isUnknown(text: string): boolean {
  return /^(Error|TypeError|UnknownError|Unknown|\d+)$/.test(text)
}
