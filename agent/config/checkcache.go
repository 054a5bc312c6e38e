package config

import (
	"encoding/base64"
	"slices"
	"strings"
)

// cache looks for what would keep archives out of the store. None of it stops a job: caches stay local then.
func (c check) cache(cache *Cache, section string) {
	if cache.MaxUploadedArchiveSize < 0 {
		c.warn(section, "MaxUploadedArchiveSize", "%d is negative and counts as no limit; use 0 for none, or a number of bytes", cache.MaxUploadedArchiveSize)
	}
	switch cache.Type {
	case "":
	case "s3":
		c.cacheS3(&cache.S3, section+".s3")
	case "gcs":
		c.cacheGCS(&cache.GCS, section+".gcs")
	case "azure":
		c.cacheAzure(&cache.Azure, section+".azure")
	default:
		c.warn(section, "Type", "%q is not known, so caches stay local; allowed are s3, gcs, azure", cache.Type)
	}
}

// wanted warns of keys that a store can't do without; pairs are key and value.
func (c check) wanted(section string, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			c.warn(section, pairs[i], "is missing, so caches stay local")
		}
	}
}

// words warns of a value that is none of the words, whose case does not matter.
func (c check) words(section, key, value, consequence string, words ...string) {
	if value != "" && !slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, value) }) {
		c.warn(section, key, "%q is not known, so %s; allowed are %s", value, consequence, strings.Join(words, ", "))
	}
}

func (c check) cacheS3(s *CacheS3, section string) {
	c.wanted(section, "BucketName", s.BucketName)
	if strings.Contains(s.ServerAddress, "://") {
		c.warn(section, "ServerAddress", "%q has a scheme; write HOST or HOST:PORT, and Insecure = true for http", s.ServerAddress)
	}
	c.words(section, "AuthenticationType", s.AuthenticationType, "the default chain of AWS is used", "access-key", "iam")
	keys := s.AccessKey != "" && s.SecretKey != ""
	switch {
	case (s.AccessKey != "") != (s.SecretKey != ""):
		c.warn(section, "AccessKey", "goes with SecretKey; give both, or none for the default chain of AWS")
	case strings.EqualFold(s.AuthenticationType, "access-key") && !keys:
		c.warn(section, "AuthenticationType", "is access-key, but there is none, so the default chain of AWS is used; give AccessKey and SecretKey, or write iam")
	case s.AuthenticationType == "" && keys && s.ServerAddress == "":
		c.warn(section, "AccessKey", "is not used, since keys count by themselves only with a ServerAddress; write AuthenticationType = \"access-key\"")
	}
	c.words(section, "ServerSideEncryption", s.ServerSideEncryption, "none is asked for", "S3", "AES256", "KMS", "aws:kms", "DSSE-KMS", "aws:kms:dsse")
	if s.ServerSideEncryptionKeyID != "" && !strings.Contains(strings.ToLower(s.ServerSideEncryption), "kms") {
		c.warn(section, "ServerSideEncryptionKeyID", "has no effect but with ServerSideEncryption = \"KMS\" or \"DSSE-KMS\"")
	}
	if s.Accelerate && s.ServerAddress != "" {
		c.warn(section, "Accelerate", "has no effect with a ServerAddress; leave one of them out")
	}
	switch {
	case s.UploadRoleARN == "":
	case s.RoleARN != "":
		c.warn(section, "UploadRoleARN", "has no effect beside RoleARN, which is for uploads too; leave it out")
	default:
		c.warn(section, "UploadRoleARN", "is deprecated in GitLab Runner; write RoleARN, which is for downloads too")
	}
	if s.AssumeRoleMaxConcurrency < -1 {
		c.warn(section, "AssumeRoleMaxConcurrency", "%d counts as -1, no limit; use -1, 0 (which is 5) or more", s.AssumeRoleMaxConcurrency)
	}
}

func (c check) cacheGCS(g *CacheGCS, section string) {
	c.wanted(section, "BucketName", g.BucketName)
	switch given := g.AccessID != "" || g.PrivateKey != ""; {
	case given && g.CredentialsFile != "":
		c.warn(section, "CredentialsFile", "wins over AccessID and PrivateKey; leave those out")
	case (g.AccessID != "") != (g.PrivateKey != ""):
		c.warn(section, "AccessID", "goes with PrivateKey; give both, or CredentialsFile, or none for the application default credentials")
	}
	if strings.ContainsAny(g.UniverseDomain, ":/") {
		c.warn(section, "UniverseDomain", "%q is no domain; write it as in googleapis.com", g.UniverseDomain)
	}
}

func (c check) cacheAzure(a *CacheAzure, section string) {
	c.wanted(section, "AccountName", a.AccountName, "ContainerName", a.ContainerName)
	if _, err := base64.StdEncoding.DecodeString(a.AccountKey.Reveal()); err != nil {
		c.warn(section, "AccountKey", "is not in Base64, as keys of storage accounts are, so caches stay local")
	}
	if strings.Contains(a.StorageDomain, "://") {
		c.warn(section, "StorageDomain", "has a scheme; write a domain, as in blob.core.windows.net")
	}
}
