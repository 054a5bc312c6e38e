package process

import (
	"fmt"
	"os"
	"strconv"
)

// MarkVariable is in the environment of all that a job starts, with the job's folder as its value.
const MarkVariable = "MILLWRIGHT_JOB_DIR"

// Folder makes a job's own folder below dir, or where temporary files go when dir is "".
func Folder(dir string, jobID int64) (string, error) {
	made, err := os.MkdirTemp(dir, "millwright-job-"+strconv.FormatInt(jobID, 10)+"-")
	if err != nil {
		return "", fmt.Errorf("the job's folder: %w", err)
	}
	return made, nil
}
