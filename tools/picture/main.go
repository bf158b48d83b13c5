// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/chromedp/chromedp"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintf(os.Stderr, "usage: %s PAGE PNG\n", os.Args[0])
		os.Exit(2)
	}
	if err := take(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "take a picture of %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func take(page, file string) error {
	// Chromium refuses its sandbox to root. It opens no page but this one.
	ctx, stop := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(chromedp.NoSandbox))
	defer stop()
	ctx, stop = context.WithTimeout(ctx, time.Minute)
	defer stop()
	if err := chromedp.Do(ctx,
		// Twice the pixels, for displays that have them.
		chromedp.EmulateViewport(1000, 526, chromedp.EmulateScale(2)),
		chromedp.Navigate(page),
		// The column of names is wide enough for them.
		chromedp.Steps(chromedp.Evaluate[chromedp.Void](`localStorage.setItem("spanNameColumnWidth", "0.33")`)),
		chromedp.Reload(),
		chromedp.Click(`(//*[contains(@class, "span-name")][contains(., "getsockopt")])[last()]`),
		chromedp.Click(`.AccordianKeyValues--header`),
		chromedp.Sleep(time.Second),
	); err != nil {
		return err
	}
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		return err
	}
	return os.WriteFile(file, png, 0o644)
}
