package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// MarkVariable is in the environment of all that a job starts, with the job's folder as its value.
const MarkVariable = "MILLWRIGHT_JOB_DIR"

// folderPrefix is how the names of jobs' folders begin, on this host and on others.
const folderPrefix = "millwright-job-"

// FolderName is how the name of a job's own folder begins; what follows must not be guessed, since the folder holds the job's secrets.
func FolderName(jobID int64) string { return folderPrefix + strconv.FormatInt(jobID, 10) + "-" }

// IsFolder tells whether name, as it was noted somewhere, is that of a job's folder, and leads nowhere else.
func IsFolder(name string) bool {
	return strings.HasPrefix(name, folderPrefix) && !strings.ContainsAny(name, `/\`)
}

// Folder makes a job's own folder below dir, or where temporary files go when dir is "".
func Folder(dir string, jobID int64) (string, error) {
	made, err := os.MkdirTemp(dir, FolderName(jobID))
	if err != nil {
		return "", fmt.Errorf("the job's folder: %w", err)
	}
	return made, nil
}
